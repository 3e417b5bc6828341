"""The only place where Prefect appears: stages, units of work, deployments, the command line."""
