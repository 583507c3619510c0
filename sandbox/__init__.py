"""The three CRMs emulated over HTTP, with their limits, their faults and a real shop's data inside.

Written from the vendors' documents alone: nothing here imports the adapters, so an adapter's misreading of a
document cannot hide behind the same misreading on the other side. `python -m sandbox` starts all three.
"""
