"""What runs, when, and after what; `python main.py --help` lists what can be done with it."""

from tasks import Commonest, Extract, Longest, References, Report

from easyjobs import BashTask, LogMonitor, Taskflow, Workflow

manual = Workflow(
    name="manual",
    title="What is in the manual?",
    active=True,
    schedule="0 6 * * *",
    sla=600,
)

most = {"most": 3}
extract = Extract(name="extract", workflow=manual, retries=2, retry_delay=5)
longest = Longest(name="longest", workflow=manual, params=most)
references = References(name="references", workflow=manual, params=most, default_priority="high")
commonest = Commonest(
    name="commonest", workflow=manual, params=most, input_file="manual.txt", output_file="words.txt", timeout=60
)
report = Report(name="report", workflow=manual)

for task in (longest, references, commonest):
    task.depends_on(extract)
report.depends_on(extract, longest, references, commonest)

tidy = BashTask("rm -f manual.txt words.txt", name="tidy", schedule="0 7 * * *")

taskflow = Taskflow(monitors=[LogMonitor()])
taskflow.add_workflows([manual])
taskflow.add_tasks([tidy])

if __name__ == "__main__":
    taskflow.cli()
