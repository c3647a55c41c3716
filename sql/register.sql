-- Registers the model's prediction as a SQL function. `python -m sql.render` writes this for your model, with its own
-- columns and the `schema` that guards them; deploy.sh runs it. Replace my-project, ds, us.predict and the endpoint.
CREATE OR REPLACE FUNCTION `my-project`.ds.predict(MedInc FLOAT64, HouseAge FLOAT64)
RETURNS FLOAT64
REMOTE WITH CONNECTION `my-project.us.predict`
OPTIONS (
  endpoint = "https://predict-abc-uc.a.run.app",
  user_defined_context = [('function', 'predict'), ('on_error', 'null')],  -- a row that cannot be scored gives NULL
  max_batching_rows = 1000
);
