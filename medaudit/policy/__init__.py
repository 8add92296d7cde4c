"""Policies: schema, strict loader, crosswalk. The only room that imports pydantic's and YAML's loaders."""
