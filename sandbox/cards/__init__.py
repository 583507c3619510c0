"""Card pages of the emulated portals: what a person would see and do in the CRM's own pages.

`views` has the neutral words, `site` serves them in front of a portal's API without costing it a call, `pages`
draws. Each vendor's `cards.py` fills the views from its own state and knows nothing of HTML.
"""
