"""A finished run for people who did not run it: one page, a card of the model and one of the data; and what changed.

Everything is read once (facts) from what the stages wrote; nothing is trained or scored anew. How the page looks is
the business of `page`, what the cards say that of `cards`.
"""
