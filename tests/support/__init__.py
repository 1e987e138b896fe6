"""What tests share: one HTTP site, one way to start processes, one crawl, one reader of states, one clock."""
