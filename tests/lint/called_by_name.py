"""What nobody in the house names and is used all the same, with who calls it; vulture reads these lines as uses.

A name of ours that only tests use does not belong here: it is dead.
"""
# ruff: noqa: B018, F821
# mypy: ignore-errors

# -- Dagster -----------------------------------------------------------------------------------------------------
WatchedRunLauncher  # dagster.yaml names it
NightCoordinator  # dagster.yaml names it
_.__getattr__  # of the module of tenants' definitions, each an attribute that a workspace names
_.config_type  # what dagster.yaml may say of a class
_.supports_check_run_worker_health  # asked by run monitoring
_.check_run_worker_health  # asked by run monitoring
_.create_resource  # a ConfigurableResource makes what assets get
_.yield_for_execution  # a ConfigurableResource opens and closes it
_.handle_output  # an IO manager's half
_.load_input  # its other half
partitions_def  # an argument of every step by night
retry_policy  # an argument of every step by night
group_name  # an argument of every output by night
_.store_event  # an instance gives its event log what happened
_.store_event_batch  # the same, several at once
_.from_config_value  # dagster.yaml names the storage, Dagster makes it of its configuration
defs  # workspace.yaml names the module, Dagster looks for definitions in it

# -- SQLAlchemy and Alembic ----------------------------------------------------------------------------------------
_.impl  # of a column type
_.cache_ok  # of a column type
_.process_bind_param  # of a column type
_.operator_classes  # of a column type
_.process_result_value  # of a column type
_.column_expression  # of a column type
_.result_processor  # of a column type
_.dialect  # a parameter that a column type is given
_.coltype  # a parameter that a column type is given
legal_holds  # a table: in the metadata once its module is imported, read by statements in SQL
forgettings  # a table: in the metadata once its module is imported
_.down_revision  # read from each migration
_.branch_labels  # read from each migration
_.depends_on  # read from each migration

# -- the standard library and others -------------------------------------------------------------------------------
_.list_commands  # Typer asks the group in what order to show its commands
_.format_commands  # Typer asks the group how to show them
mlflow_app  # the command of MLflow's server names it
_._value_  # what an enum's member compares by
_.do_GET  # http.server calls it for each GET
_.log_message  # http.server calls it for each request
_.handleError  # logging calls it when a line cannot be written
_.model_config  # pydantic
_.progress_bars  # a variable of Great Expectations' context
_.enable_progress_bars  # a setting of Ray Data's context
_.target_max_block_size  # the same
_.padding_side  # a setting of transformers' tokenizers
_.max_seq_length  # a setting of sentence-transformers' models
_.intra_op_num_threads  # a setting of ONNX Runtime's sessions
_.inter_op_num_threads  # the same
_.log_severity_level  # the same

# -- read through `getattr`, `vars` or a prefix ------------------------------------------------------------------
_.dispatcher  # the grants of a role, by the role's name
_.auditor  # the grants of a role, by the role's name
_.alarm_members  # the keys of `clusters` that begin with `alarm_` become one data class
_.alarm_accounts
_.alarm_nights
_.alarm_similarity
_.alarm_chance

# -- columns of the ledger: read by `vars` and `fields`, for documents and rows -----------------------------------
_.answered_at
_.asked_at
_.decided_epoch
_.granted_by
_.last_at
_.promoted_at
_.proposal_verdict

# -- declared for whoever checks the house -----------------------------------------------------------------------
APART  # a test holds every table against it: kept in the chain, or here with the reason why not
PUBLIC_ROUTES  # a test holds the routes of the public application against it
_.superuser_url  # for repairs by hand; no service connects with it
