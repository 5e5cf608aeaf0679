"""The explorer: a page on which sliders move a student, `python -m statmech_bn explore`.

What the page says is in modules that know no web framework, and are tested without one: `state`
(what is asked, its limits and its address), `typed` (an activation that somebody types), `curves`,
`equations` and `partition` (what is computed), `code` (the Python that makes the figure), `worker`
(one thread that computes, and is stopped when it takes too long). `page` and its like draw with
Bokeh (extra ``explore``).
"""
