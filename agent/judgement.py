"""What came of a trial's process, as an operator would judge it, in a sentence. Pure."""

from agent.operator.run import Verdict, judge
from agent.trial import Run
from streams.definition import ProcessDefinition, ProcessType


def reason(run: Run) -> str:
    """Return why a process failed; empty: it didn't."""
    if run.ok:
        return ""
    return run.problem or (run.exit.text if run.exit else "not started")


def outcome(definition: ProcessDefinition, run: Run) -> str:
    """Return what an operation would do about a failure."""
    failed = "the operation would be 'failed', its messages would wait"
    if run.exit is None:
        return failed
    if definition.process_type is ProcessType.SERVICE:
        return "an operation would start it again, and feed it again what it left undone"
    retries = f"{definition.retries} more attempts, then the dead letters"
    match Verdict.FAILED if run.problem else judge(run.exit.code):
        case Verdict.CANNOT_RUN:
            return failed
        case Verdict.BAD:
            return "no other attempt, the dead letters"
        case Verdict.LATER:
            return f"try again later; {retries}"
        case _:
            return retries
