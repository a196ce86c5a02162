"""The faces of the systems that easyjobs unites: thin ways to the same tasks, jobs and stores."""
