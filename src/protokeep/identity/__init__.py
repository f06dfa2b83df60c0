"""People from elsewhere: JWTs of an issuer, or under a shared secret, and signing in at the issuer.

What is believed is settled by settings alone: the issuer, the audience, the algorithms and where keys are read. A token
chooses nothing but which of the issuer's keys it is checked with.
"""
