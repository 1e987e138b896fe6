"""The parts of a stored form: types, classes, requests. The codec puts them together."""
