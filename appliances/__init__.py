"""Appliances: recipes, and the builder that makes machine images of them."""
