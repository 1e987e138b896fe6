for (const button of document.querySelectorAll(".command button")) {
  button.hidden = false;
  button.onclick = () => {
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  };
}
