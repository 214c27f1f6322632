"""The commands of ``python -m dataset_tools``: argument parsing only. What is heavy is imported when a command runs."""
