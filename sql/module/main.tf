# What deploy.sh makes, in its order, but the record: Terraform's state takes its place.

locals {
  function     = var.function != "" ? var.function : local.default_function
  connection   = var.connection != "" ? var.connection : local.function
  location     = var.location != "" ? var.location : var.region
  bucket       = split("/", trimprefix(var.model, "gs://"))[0]
  makes_reader = !strcontains(var.service_account, "@")
  reader_name  = var.service_account != "" ? var.service_account : trimsuffix(substr("sql-fn-${local.function}", 0, 30), "-")
  reader       = local.makes_reader ? google_service_account.reader[0].email : var.service_account
  variables = {
    MODEL_URI             = var.model
    MODEL_DIGEST          = var.follow == null ? local.digest : null
    MODEL_REFRESH_SECONDS = var.follow == null ? null : tostring(var.follow)
    WORKERS               = tostring(var.workers)
  }
  secrets = {
    for target, text in var.set_secrets : target => merge(
      regex("^(?:projects/(?P<project>[^/]+)/secrets/)?(?P<name>[A-Za-z0-9_-]+)(?::|/versions/)(?P<version>[0-9]+|latest)$", text),
      startswith(target, "/") ? regex("^(?P<folder>.+?):?/(?P<file>[^:/]+)$", target) : { folder = "", file = "" },
    )
  }
}

resource "google_service_account" "reader" {
  count        = local.makes_reader ? 1 : 0
  project      = var.project
  account_id   = local.reader_name
  display_name = "SQL function ${local.function}"
}

resource "google_storage_bucket_iam_member" "reader" {
  bucket = local.bucket
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${local.reader}"
}

data "archive_file" "source" {
  type        = "zip"
  source_dir  = "${path.module}/source"
  output_path = "${path.module}/source.zip"
}

resource "google_storage_bucket_object" "source" {
  bucket = local.bucket
  name   = "deployments/${var.project}/${var.region}/${local.function}-${data.archive_file.source.output_sha256}.zip"
  source = data.archive_file.source.output_path
}

resource "google_cloudfunctions2_function" "function" {
  project      = var.project
  location     = var.region
  name         = local.function
  kms_key_name = var.kms_key
  labels       = var.update_labels

  build_config {
    runtime           = local.runtime
    entry_point       = "predict"
    worker_pool       = var.build_worker_pool
    docker_repository = var.docker_repository
    service_account   = var.build_service_account == null ? null : "projects/${var.project}/serviceAccounts/${var.build_service_account}"

    source {
      storage_source {
        bucket = google_storage_bucket_object.source.bucket
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = local.reader
    available_memory                 = var.memory
    available_cpu                    = var.cpu
    max_instance_request_concurrency = var.concurrency
    timeout_seconds                  = var.timeout
    min_instance_count               = var.min_instances
    max_instance_count               = var.max_instances
    all_traffic_on_latest_revision   = true
    vpc_connector                    = var.vpc_connector
    environment_variables            = merge(local.settings, { for name, value in local.variables : name => value if value != null }, var.update_env_vars)

    ingress_settings = {
      all               = "ALLOW_ALL"
      internal-only     = "ALLOW_INTERNAL_ONLY"
      internal-and-gclb = "ALLOW_INTERNAL_AND_GCLB"
    }[coalesce(var.ingress_settings, "all")]

    vpc_connector_egress_settings = var.egress_settings == null ? null : {
      all                 = "ALL_TRAFFIC"
      private-ranges-only = "PRIVATE_RANGES_ONLY"
    }[var.egress_settings]

    dynamic "secret_environment_variables" {
      for_each = { for target, secret in local.secrets : target => secret if secret.file == "" }
      content {
        key        = secret_environment_variables.key
        project_id = coalesce(secret_environment_variables.value.project, var.project)
        secret     = secret_environment_variables.value.name
        version    = secret_environment_variables.value.version
      }
    }

    dynamic "secret_volumes" {
      for_each = { for target, secret in local.secrets : target => secret if secret.file != "" }
      content {
        mount_path = secret_volumes.value.folder
        project_id = coalesce(secret_volumes.value.project, var.project)
        secret     = secret_volumes.value.name
        versions {
          version = secret_volumes.value.version
          path    = secret_volumes.value.file
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.reader]
}

resource "google_bigquery_connection" "connection" {
  project       = var.project
  location      = local.location
  connection_id = local.connection

  cloud_resource {}
}

# The connection's account may not exist for up to two minutes after the connection.
resource "time_sleep" "connection_account" {
  create_duration = "120s"

  triggers = {
    account = google_bigquery_connection.connection.cloud_resource[0].service_account_id
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.function.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${time_sleep.connection_account.triggers.account}"
}

resource "google_bigquery_dataset" "dataset" {
  project    = var.project
  dataset_id = var.dataset
  location   = local.location
}

resource "google_bigquery_connection_iam_member" "analyst" {
  for_each      = var.grant
  project       = var.project
  location      = google_bigquery_connection.connection.location
  connection_id = google_bigquery_connection.connection.connection_id
  role          = "roles/bigquery.connectionUser"
  member        = each.value
}

output "function_url" {
  description = "The URL of the function; only the connection's account may call it."
  value       = google_cloudfunctions2_function.function.service_config[0].uri
}
