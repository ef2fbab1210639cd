"""A task pool on Ray, imported only when asked for.

    address      names of pools, and their check
    connection   this process in a Ray cluster, or with a Ray of its own
    signs        of life, which Ray itself waits for in vain
    leftovers    what a Ray of our own leaves behind
    alike        facts that must be equal on all machines, for equal bits
    actor        a worker's side
    crew         the actors: started, replaced, as many as there are CPUs
    pool         tasks in, results out

Ray places actors, moves data and notices deaths. Everything else is ours, for one path serves all:
a worker that dies, a node that leaves and a node that joins.
"""
