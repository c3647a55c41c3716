-- What each query cost, from the function's log: requests, rows, retries, errors, seconds and the estimated price.
-- Export the log to BigQuery with a sink, here to the dataset `logs`:
--   gcloud logging sinks create predict-log bigquery.googleapis.com/projects/my-project/datasets/logs \
--     --use-partitioned-tables --log-filter='resource.labels.service_name="predict" AND jsonPayload.job:*'
-- `python -m local logs FILE` runs the same query on log lines in a file.
CREATE OR REPLACE VIEW logs.requests_by_job AS
WITH prices AS (
  -- Prices in USD, as in launch/prices.py, and the size of an instance: change it if you deployed another size.
  SELECT 0.000024 AS vcpu_second, 0.0000025 AS gib_second, 0.0000004 AS request, 1.0 AS vcpus, 2.0 AS gibs
),
requests AS (
  SELECT
    jsonPayload.job,
    jsonPayload.requestid AS request_id,
    jsonPayload.user,
    jsonPayload.function AS name,
    jsonPayload.model,
    CAST(jsonPayload.status AS INT64) AS status,
    CAST(jsonPayload.rows AS INT64) AS row_count,
    CAST(jsonPayload.nullrows AS INT64) AS null_rows,
    jsonPayload.milliseconds.total / 1000 AS seconds,
    labels.instanceid AS instance,
    timestamp AS began,
    TIMESTAMP_ADD(timestamp, INTERVAL CAST(jsonPayload.milliseconds.total * 1000 AS INT64) MICROSECOND) AS ended
  FROM logs.run_googleapis_com_stdout
  WHERE jsonPayload.job IS NOT NULL
),
overlapping AS (
  SELECT *, MAX(ended) OVER (
    PARTITION BY job, instance ORDER BY began, ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) AS paid_until
  FROM requests
),
timed AS (
  -- Concurrent requests on an instance share its price: each one adds only the time that no earlier one covers.
  SELECT *, GREATEST(0, TIMESTAMP_DIFF(ended, GREATEST(began, IFNULL(paid_until, began)), MICROSECOND)) / 1e6 AS paid
  FROM overlapping
),
jobs AS (
  SELECT
    job,
    MIN(began) AS first_began,
    STRING_AGG(DISTINCT user, ', ' ORDER BY user) AS user,
    STRING_AGG(DISTINCT name, ', ' ORDER BY name) AS functions,
    STRING_AGG(DISTINCT model, ', ' ORDER BY model) AS models,
    COUNT(*) AS requests,
    SUM(IF(status = 200, row_count, 0)) AS row_count,
    SUM(IF(status = 200, null_rows, 0)) AS null_rows,
    COUNTIF(status <> 200) AS errors,
    SUM(seconds) AS request_seconds,
    SUM(paid) AS instance_seconds
  FROM timed
  GROUP BY job
),
repeated AS (
  -- BigQuery retries a request after these statuses, and may do so after any reply. It isn't documented whether a retry
  -- has the request id of the first attempt, so a retry counts once: by the failure before it or by the repeated id.
  SELECT job, SUM(times) AS retries
  FROM (
    SELECT job, GREATEST(COUNT(*) - 1, COUNTIF(status IN (408, 429, 500, 503, 504))) AS times
    FROM requests
    GROUP BY job, request_id
  )
  GROUP BY job
)
SELECT
  job, TIMESTAMP_TRUNC(first_began, SECOND) AS started, user, functions, models,
  requests, row_count, null_rows, retries, errors,
  ROUND(request_seconds, 3) AS request_seconds,
  ROUND(instance_seconds, 3) AS instance_seconds,
  ROUND(instance_seconds * (vcpus * vcpu_second + gibs * gib_second) + requests * request, 6) AS estimated_usd
FROM jobs
JOIN repeated USING (job)
CROSS JOIN prices
ORDER BY first_began, job;
