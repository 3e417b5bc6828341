"""From a crop pair to a checked, region-grounded explanation; `pipeline` reads like the paper."""
