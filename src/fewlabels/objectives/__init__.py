"""The methods: one file of mathematics each, under its derivation."""
