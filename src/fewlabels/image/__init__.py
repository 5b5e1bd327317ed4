"""Images: potentials and generators."""
