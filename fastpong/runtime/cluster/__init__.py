"""A task pool on Ray, imported only when asked for.

    address      names of pools, and their check
    connection   this process in a Ray cluster, or with a Ray of its own
    leftovers    what a Ray of our own leaves behind
    alike        facts that must be equal on all machines, for equal bits
    actor        a worker's side
    crew         the actors: started, replaced, as many as there are CPUs
    lateness     when a task is late
    pool         tasks in, results out

Ray places actors, moves data and notices deaths. Everything else is ours, for one path serves all:
a worker that dies, a node that leaves and a node that joins.
"""
