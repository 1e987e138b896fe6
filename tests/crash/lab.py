"""Carries out the plans of a session, and keeps what all of them share."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from tests.support.shared import find_once
from tests.support.site import Server, Site

from .items import read_items
from .pages import TorturePages
from .plan import Plan
from .trial import PLAIN_SCRAPY, Trial, Truth, crawl_of


class Lab:
    """The trials of a session, each with a directory and a site of its own.

    :param common: a directory that all processes of the session have in common.
    """

    def __init__(self, server: Server, directory: Path, common: Path) -> None:
        self._server = server
        self._directory = directory
        self._common = common
        self._truths: dict[str, Truth] = {}
        self._numbers = count(1)

    def trial(self, plan: Plan) -> Trial:
        """Carry out a plan."""
        truth = self._truth(plan)
        trial = Trial(plan, truth, *self._new(plan))
        trial.carry_out()
        return trial

    def forget(self, trial: Trial) -> None:
        """The trial has held: remove what it has left."""
        shutil.rmtree(trial.work)

    def _new(self, plan: Plan) -> tuple[Site, Path]:
        return self._server.site(TorturePages(plan.size)), self._directory / f"{next(self._numbers)}"

    def _truth(self, plan: Plan) -> Truth:
        """Return what an undisturbed crawl of the same pages brings under plain Scrapy. One process finds it out."""
        arguments = {("skip" if name == "poison" else name): value for name, value in plan.arguments.items()}
        name = f"{plan.size} {sorted(arguments.items())}"
        if name not in self._truths:
            self._truths[name] = find_once(self._common, name, lambda: self._find_out(plan, arguments))
        return self._truths[name]

    def _find_out(self, plan: Plan, arguments: Mapping[str, str]) -> Truth:
        site, work = self._new(plan)
        site.release()
        run = crawl_of(PLAIN_SCRAPY, site, work, **arguments).run()
        assert run.code == 0, run.log[-3000:]
        return Truth(read_items(work / "items.jsonl"), Counter(hit.page for hit in site.hits))
