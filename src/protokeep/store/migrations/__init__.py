"""The database's history: branch `tracking` for the owner's `design_mockups`, branch `protokeep` for ours."""
