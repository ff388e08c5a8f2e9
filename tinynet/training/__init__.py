"""Training: the loop on one page (loop.py), and what is kept of it.

    loop.py         steps and epochs, and who hears of them
    evaluation.py   errors of a network, and its probabilities for a picture
    run.py          a run in a folder: saved so that it can go on as if it had never been stopped
    state.py        what a loop's state is, as arrays and numbers
    checkpoint.py   the file of such a state
    log.py          the record of every step and epoch, log.jsonl
    run_folder.py   whose a folder is
    reporter.py     what is seen while it runs: progress, lines, pictures

Nothing here knows which network is trained, or that there is a command line.
"""
