# shellcheck shell=bash
# Takes away what the record says was made, in the reverse order; what others put there stays.

destroy() {
  ACCOUNT=$SERVICE_ACCOUNT
  [[ $ACCOUNT == *@* ]] || ACCOUNT=$ACCOUNT@$PROJECT.iam.gserviceaccount.com
  check_tools
  stop_on_problems
  observe record gcloud storage cat "$(record_uri)"
  if ! there record; then
    stop_on_problems
    say "There is nothing to take away: $(record_uri) does not exist."
    return
  fi
  remove_sql
  remove_connection
  remove_function
  remove 'Removing the record' "Ask for roles/storage.objectUser on gs://$BUCKET." \
    gcloud storage rm "$(record_uri)" --no-user-output-enabled
  say "What was made is gone; the model in $MODEL_URI stays."
}

remove_sql() {
  local name
  for name in $(recorded_of routine); do
    remove "Removing the SQL function $DATASET.$name" "Ask for roles/bigquery.dataEditor on $DATASET." \
      bq_in_project rm -f --routine "$PROJECT:$DATASET.$name"
  done
  for name in $(recorded_of dataset); do
    # Without -r, which would take other people's tables along.
    (remove "Removing the dataset $name if it is empty" 'Look at what it holds.' bq_in_project rm -f --dataset "$PROJECT:$name") ||
      say "The dataset $name stays, since it holds something else."
  done
}

remove_connection() {
  local connection member
  while read -r connection member; do
    recorded "connection $connection" || remove "Taking the connection $connection from $member" \
      "Ask for roles/bigquery.connectionAdmin on $connection." \
      bq_in_project remove-iam-policy-binding --connection --member="$member" --role=roles/bigquery.connectionUser "$connection"
  done < <(recorded_of analyst)
  for connection in $(recorded_of connection); do
    remove "Removing the connection $connection" "Ask for roles/bigquery.connectionAdmin on $PROJECT." \
      bq_in_project rm -f --connection "$connection"
  done
}

remove_function() {
  local name
  for name in $(recorded_of function); do
    remove "Removing the function $name" "Ask for roles/cloudfunctions.developer on $PROJECT." \
      gcloud functions delete "$name" --gen2 --project="$PROJECT" --region="$REGION" --quiet
  done
  # Before the account, whose name in a policy would otherwise outlive it.
  for name in $(recorded_of reader); do
    remove "Taking gs://$BUCKET from $name" "Ask for roles/storage.admin on gs://$BUCKET." \
      gcloud storage buckets remove-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$name" \
      --role=roles/storage.objectViewer --no-user-output-enabled
  done
  for name in $(recorded_of account); do
    remove "Removing the service account $name" "Ask for roles/iam.serviceAccountAdmin on $PROJECT." \
      gcloud iam service-accounts delete "$name" --project="$PROJECT" --quiet
  done
}
