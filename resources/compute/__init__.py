"""Heavy work on a Ray cluster: encoding, training, replaying.

    driver          what the step's process holds: hands jobs to a process of its own and takes results
    jobs            what is handed over
    driver_process  that process, the only one of this machine that speaks with Ray: Ray ends its driver where the
                    cluster's head is gone, and a step has to outlive that
    encoding        the pipelines of Ray Data, and `calls` the tasks
    encoders        encoders that stream through it

Ray is imported in `driver_process` and by what it starts, nowhere else.
"""
