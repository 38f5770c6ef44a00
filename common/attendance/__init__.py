"""Who came, by a QR code on the projector: codes, pages, the store, the report, ``dnnc attendance``.

===============  =========================================================================================
``tokens``       codes, tickets and cookies: what is signed, and for how long it is valid
``store``        what was recorded and refused, in one SQLite file
``app``          the pages (``pages``) for phones and projector, and the server that serves them
``refusals``     why a phone is not recorded, and what to do about it
``connections``  who may hold a connection to the server
``network``      at which address phones find this machine
``report``       who was in which lecture: text, CSV, a figure
``certificate``  a page to print for a member
``commands``     ``dnnc attendance``, and ``dnnc members certificate``
===============  =========================================================================================
"""
