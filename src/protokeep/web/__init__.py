"""HTTP: routes that parse, call the keeper, and render."""
