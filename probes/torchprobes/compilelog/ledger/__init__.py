"""The ledger: what the events of all files of a run add up to.

`Ledger` takes events one by one, in the order of each file, and files in any order; `explanation` is a snapshot of what
they say together. Per process (`process`): compiles and graphs (`compiles`), graph breaks (`breaks`), the true cause of
each recompile (`guards`, `cause`), failures (`failures`), phases that are open (`phases`). `document` makes JSON of it.
"""

from .document import document
from .ledger import Ledger

__all__ = ["Ledger", "document"]
