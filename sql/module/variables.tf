variable "project" {
  description = "The Google Cloud project."
  type        = string
}

variable "region" {
  description = "The region where the function runs."
  type        = string
}

variable "dataset" {
  description = "The dataset that gets the SQL functions."
  type        = string
}

variable "model" {
  description = "The model: gs://bucket/prefix."
  type        = string
}

variable "follow" {
  description = "Seconds between two looks for a new version, which takes over; null: never look."
  type        = number
  default     = null
}

variable "location" {
  description = "Where to create the dataset if it does not exist; default: the region."
  type        = string
  default     = ""
}

variable "function" {
  description = "The name of the Cloud Function; default: --name of sql.render, or predict."
  type        = string
  default     = ""
}

variable "service_account" {
  description = "The account that the function runs as; default: sql-fn-FUNCTION."
  type        = string
  default     = ""
}

variable "connection" {
  description = "The BigQuery connection; default: the function's name."
  type        = string
  default     = ""
}

variable "memory" {
  description = "Memory per instance."
  type        = string
  default     = "2Gi"
}

variable "cpu" {
  description = "CPUs per instance."
  type        = string
  default     = "1"
}

variable "workers" {
  description = "Processes per instance: one for each CPU."
  type        = number
  default     = 1
}

variable "concurrency" {
  description = "Requests that an instance handles at a time."
  type        = number
  default     = 8
}

variable "min_instances" {
  description = "Instances that always run; 1 spares the first query a cold start."
  type        = number
  default     = 0
}

variable "max_instances" {
  description = "Maximum number of instances."
  type        = number
  default     = 10
}

variable "timeout" {
  description = "Seconds per request, at most 1200."
  type        = number
  default     = 300
}

variable "max_batching_rows" {
  description = "Maximum number of rows per request; default: BigQuery chooses."
  type        = number
  default     = null
}

variable "ingress_settings" {
  description = "What network traffic reaches the function; default: all."
  type        = string
  default     = null
}

variable "vpc_connector" {
  description = "The VPC connector of the function's own traffic."
  type        = string
  default     = null
}

variable "egress_settings" {
  description = "Which of the function's own traffic takes the connector."
  type        = string
  default     = null
}

variable "kms_key" {
  description = "The key that encrypts the function."
  type        = string
  default     = null
}

variable "build_worker_pool" {
  description = "The private worker pool that builds the function."
  type        = string
  default     = null
}

variable "docker_repository" {
  description = "The Artifact Registry repository of the function's image."
  type        = string
  default     = null
}

variable "build_service_account" {
  description = "The account that builds the function; default: the project's own choice."
  type        = string
  default     = null
}

variable "update_labels" {
  description = "Labels of the function."
  type        = map(string)
  default     = {}
}

variable "update_env_vars" {
  description = "Environment variables of the function."
  type        = map(string)
  default     = {}
}

variable "set_secrets" {
  description = "Secrets of Secret Manager as environment variables or files of the function."
  type        = map(string)
  default     = {}
}

variable "grant" {
  description = "Who may call the SQL functions: user:, group: or serviceAccount: and an email."
  type        = set(string)
  default     = []
}
