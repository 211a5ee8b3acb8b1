"""One test for all pages or configs of a kind, whose failure names every one that is wrong."""


def check_each(items, check) -> None:
    """Raise one AssertionError that says of every item for which `check` raises anything what it was."""
    failed = {}
    for item in items:
        try:
            check(item)
        except Exception as error:
            failed[item] = f'{type(error).__name__}: {error}'
    assert not failed, '\n'.join(f'{item}: {why}' for item, why in failed.items())
