"""A prototype in a few lines.

Start `make demo`, export what it prints, then: .venv/bin/python examples/quickstart.py
"""

from protokeep.client import Protokeep, ProtokeepError, Prototype


def progress(prototype: Prototype) -> None:
    """Print the state; called while the prototype is generated."""
    print(f"  {prototype.state} for {prototype.elapsed_seconds or 0:.0f} s")


def main() -> None:
    """Ask for a prototype twice, wait for it, and list the product's prototypes."""
    with Protokeep() as client:  # PROTOKEEP_URL and PROTOKEEP_TOKEN say where and as whom
        first = client.ensure("quickstart", "A landing page for a bakery")
        print(f"{first.decision.outcome}: {first.decision.reason}")

        second = client.ensure("quickstart", "A landing page for a bakery")
        print(f"{second.decision.outcome}: {second.decision.reason}")
        assert first.id == second.id

        done = client.wait("quickstart", progress=progress, hold=2)
        print(f"{done.state}: {done.project_url}")

        for prototype in client.list("quickstart"):
            print(f"  {prototype.created_at:%Y-%m-%d %H:%M} {prototype.state} {prototype.id}")


if __name__ == "__main__":
    try:
        main()
    except ProtokeepError as error:
        raise SystemExit(f"quickstart: {error}") from None
