"""v1 of the emulated API: routes, the account's own resources, request bodies and views."""
