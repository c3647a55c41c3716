-- The SQL functions of a model trained on California Housing. Replace my-project, ds, us.remote-models and the endpoint
-- with your own and paste the statements into BigQuery's editor. They are what this command prints, except that its
-- descriptions also name the model, its digest and when it was saved:
--   .venv/bin/python -m sql.render --model gs://my-bucket/california --project my-project --dataset ds \
--     --connection us.remote-models --endpoint https://predict-abc-uc.a.run.app --max-batching-rows 1000
-- `schema` is a hash of the argument names and types: a model with other columns rejects the calls.

CREATE OR REPLACE FUNCTION `my-project`.ds.predict(
  MedInc FLOAT64,
  HouseAge FLOAT64,
  AveRooms FLOAT64,
  AveBedrms FLOAT64,
  Population FLOAT64,
  AveOccup FLOAT64,
  Latitude FLOAT64,
  Longitude FLOAT64
)
RETURNS FLOAT64
REMOTE WITH CONNECTION `my-project.us.remote-models`
OPTIONS (
  endpoint = "https://predict-abc-uc.a.run.app",
  user_defined_context = [('function', 'predict'), ('schema', '642a833705e99bb1')],
  max_batching_rows = 1000,
  description = "The model's prediction from its columns as arguments."
);

CREATE OR REPLACE FUNCTION `my-project`.ds.predict_row(row JSON)
RETURNS FLOAT64
REMOTE WITH CONNECTION `my-project.us.remote-models`
OPTIONS (
  endpoint = "https://predict-abc-uc.a.run.app",
  user_defined_context = [('function', 'predict_row'), ('schema', '642a833705e99bb1')],
  max_batching_rows = 1000,
  description = "The model's prediction from one JSON argument: TO_JSON of a table's row."
);

CREATE OR REPLACE FUNCTION `my-project`.ds.model_info()
RETURNS JSON
REMOTE WITH CONNECTION `my-project.us.remote-models`
OPTIONS (
  endpoint = "https://predict-abc-uc.a.run.app",
  user_defined_context = [('function', 'model_info'), ('schema', '642a833705e99bb1')],
  max_batching_rows = 1000,
  description = "The model being served: its location, digest, signature, package versions and when it was loaded."
);
