"""People from elsewhere: JWTs of an issuer, or under a shared secret, and sign-in at the issuer.

Settings alone decide what is trusted: the issuer, the audience, the algorithms and where keys are read. A token only
selects which of the issuer's keys its signature is checked with.
"""
