"""Make the tables and say which tasks there are; again whenever the tasks change."""

from main import jobmaster

jobmaster.deploy()
