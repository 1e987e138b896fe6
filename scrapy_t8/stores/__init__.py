"""Where a job's state is kept: the contract (``base``) and what fulfils it."""
