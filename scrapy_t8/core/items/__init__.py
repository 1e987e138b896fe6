"""Items and what is known of them."""
