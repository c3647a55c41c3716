# shellcheck shell=bash
# The options of deploy.sh: one table, and what each value must look like.
# The rule: a bad value is a problem to be listed with all others, not a reason to stop at once.

# name | default | example | meaning. The environment variable is the name in capitals, with _ for -.
options() {
  cat <<'TABLE'
project||my-project|the Google Cloud project
region||us-central1|where the function runs
dataset||ds|the dataset that gets the SQL functions
model||gs://my-bucket/houses|the model: gs://bucket/prefix, or a folder, which is published first
publish||gs://my-bucket/houses|where a model from a folder is published
location||US|the dataset's location when it is made; default: the region
function|predict|houses|the name of the Cloud Function
service-account||houses-reader|the account that the function runs as; default: sql-fn-FUNCTION
connection||houses|the BigQuery connection; default: the function's name
memory|2Gi|4Gi|memory of an instance
cpu|1|2|CPUs of an instance
workers|1|2|processes of an instance; one for each CPU
concurrency|8|16|requests that an instance takes at a time
min-instances|0|1|instances that always run; 1 spares the first query a cold start
max-instances|10|50|instances that run at most
timeout|300|600|seconds for one request, 1200 at most
max-batching-rows||1000|rows of one request at most; default: BigQuery chooses
grant||user:ana@example.com|who may call the SQL functions: user:, group: or serviceAccount:; can be repeated
wait|1800|3600|seconds that a step may take, granted rights included
TABLE
}

PROBLEMS=()

problem() {
  PROBLEMS+=("$*")
}

stop_on_problems() {
  [ "${#PROBLEMS[@]}" -eq 0 ] && return
  printf 'deploy.sh: %s\n' "${PROBLEMS[@]}" >&2
  exit 2
}

variable_of() {
  tr '[:lower:]-' '[:upper:]_' <<<"$1"
}

lower() {
  tr '[:upper:]' '[:lower:]' <<<"$1"
}

read_options() {
  DRY_RUN='' DESTROY='' ADVISE='' EXPLICIT=' '
  local option default variable given='' value
  while IFS='|' read -r option default _ _; do
    variable=$(variable_of "$option")
    [ -z "${!variable:-}" ] || EXPLICIT+="$option "
    printf -v "$variable" %s "${!variable:-$default}"
    given+=" $option "
  done < <(options)
  while [ $# -gt 0 ]; do
    case $1 in
      --help) usage && exit 0 ;;
      --dry-run) DRY_RUN=yes && shift && continue ;;
      --destroy) DESTROY=yes && shift && continue ;;
      --advise) ADVISE=yes && shift && continue ;;
    esac
    option=${1#--} && option=${option%%=*}
    if [[ $1 != --* || $given != *" $option "* ]]; then
      problem "There is no option $1; ./deploy.sh --help lists them." && shift && continue
    fi
    if [[ $1 == *=* ]]; then
      value=${1#*=}
    elif [ $# -gt 1 ] && [[ $2 != --* ]]; then
      value=$2 && shift
    else
      value=''
    fi
    shift
    [ -n "$value" ] || problem "--$option needs a value, such as --$option $(example_of "$option")."
    variable=$(variable_of "$option")
    EXPLICIT+="$option "
    [ "$option" = grant ] && value="$GRANT $value"
    printf -v "$variable" %s "$value"
  done
  SERVICE_ACCOUNT=${SERVICE_ACCOUNT:-$(default_account)}
  CONNECTION=${CONNECTION:-$FUNCTION}
  check_options
}

default_account() {
  local name="sql-fn-${FUNCTION:0:23}"
  printf %s "${name%-}"
}

example_of() {
  options | awk -F '|' -v option="$1" '$1 == option {print $3}'
}

usage() {
  cat <<'TEXT'
Deploys a model from a bucket as a SQL function of BigQuery.

  ./deploy.sh --project my-project --region us-central1 --dataset ds --model gs://my-bucket/houses
  ./deploy.sh --dry-run ...    prints every command and changes nothing
  ./deploy.sh --destroy ...    takes away what it made, given the same options
  ./deploy.sh --advise ...     measures the model on this machine first, and sets memory, CPUs, workers, concurrency,
                               timeout and max-batching-rows by that, unless they are given

Options, each with an example; the environment variable in brackets is used when the option is not given:

TEXT
  local option default example meaning
  while IFS='|' read -r option default example meaning; do
    printf '  --%s %s\n      %s%s [%s]\n' "$option" "$example" "$meaning" "${default:+; default: $default}" \
      "$(variable_of "$option")"
  done < <(options)
}

# must NAME PATTERN EXPECTED: a problem unless the option's value has this form.
must() {
  local variable
  variable=$(variable_of "$1")
  [[ ${!variable} =~ ^($2)$ ]] || problem "--$1 is '${!variable}'; expected $3, such as $(example_of "$1")."
}

check_options() {
  local LC_ALL=C member
  must project '[a-z][a-z0-9-]{4,28}[a-z0-9]' '6 to 30 lower-case letters, digits and hyphens'
  must region '[a-z]+-[a-z]+[0-9]+' 'a region of Google Cloud'
  must dataset '[A-Za-z0-9_]{1,1024}' 'letters, digits and underscores'
  must location '([A-Za-z]+(-[a-z]+[0-9]+)?)?' 'a location of BigQuery'
  must function '[a-z]([a-z0-9-]{0,61}[a-z0-9])?' 'at most 63 lower-case letters, digits and hyphens'
  must service-account '[a-z][a-z0-9-]{4,28}[a-z0-9](@[a-z0-9.-]+)?' '6 to 30 lower-case letters, digits and hyphens, or an email'
  must connection '[A-Za-z0-9_-]+' 'letters, digits, _ and -'
  must memory '[0-9]+(Mi|Gi|M|G|MB|GB)' 'a number and a unit'
  must cpu '0?\.[0-9]+|[1248]' 'a number of CPUs'
  must workers '[1-9]' '1 to 9'
  must concurrency '[1-9][0-9]{0,2}|1000' '1 to 1000'
  must min-instances '[0-9]{1,4}' 'a whole number'
  must max-instances '[1-9][0-9]{0,3}' 'a whole number from 1'
  must timeout '[1-9][0-9]{0,2}|1[01][0-9]{2}|1200' '1 to 1200 seconds, the longest that BigQuery waits'
  must max-batching-rows '([1-9][0-9]{0,8})?' 'a whole number from 1'
  must wait '[1-9][0-9]{0,5}' 'seconds'
  for member in $GRANT; do
    [[ $member =~ ^(user|group|serviceAccount):[^[:space:]@]+@[^[:space:]@]+$ ]] ||
      problem "--grant is '$member'; expected user:, group: or serviceAccount: and an email, such as user:ana@example.com."
  done
  if [[ $MIN_INSTANCES =~ ^[0-9]+$ && $MAX_INSTANCES =~ ^[0-9]+$ ]] && ((MIN_INSTANCES > MAX_INSTANCES)); then
    problem "--min-instances $MIN_INSTANCES is more than --max-instances $MAX_INSTANCES."
  fi
  check_model_option
  if [ -n "$LOCATION" ]; then
    check_location "$LOCATION"
  fi
}

check_model_option() {
  local place='gs://[a-z0-9][a-z0-9._-]+/[^[:space:],*?]+'
  MODEL_FOLDER='' MODEL_URI=${MODEL%/}
  if [[ $MODEL != *://* && -d $MODEL ]]; then
    MODEL_FOLDER=$(cd "$MODEL" && pwd) MODEL_URI=${PUBLISH%/}
    must publish "$place" 'the place in a bucket where the model of a folder goes'
  else
    must model "$place" 'gs://bucket/prefix or a folder that is there'
  fi
  BUCKET=${MODEL_URI#gs://}
  BUCKET=${BUCKET%%/*}
}

# BigQuery calls a function in the dataset's region, or in any region inside its multi-region.
check_location() {
  local location
  location=$(lower "$1")
  case $location:$REGION in
    us:us-* | "$REGION:$REGION") return ;;
    eu:europe-west2 | eu:europe-west6) ;; # London and Zurich are not in the EU
    eu:europe-*) return ;;
  esac
  problem "The dataset's location $1 and the region $REGION do not fit: BigQuery calls functions in $(fitting "$location")."
}

fitting() {
  case $1 in
    us) printf %s 'any region us-*' ;;
    eu) printf %s 'any region europe-* inside the EU' ;;
    *) printf %s "$1 alone" ;;
  esac
}
