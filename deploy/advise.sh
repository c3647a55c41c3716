# shellcheck shell=bash
# What the model itself asks for: measured here by python -m deploy.sizing, for the options that nobody gave.

advise() {
  local step='Measuring the model on this machine, which takes about a minute' name value reason variable
  [ -n "$ADVISE" ] || return 0
  say "$step"
  "$PYTHON" -m deploy.sizing --model "${MODEL_FOLDER:-$MODEL_URI}" --output "$WORK/advice" \
    --instances "$MAX_INSTANCES" >"$WORK/advise.out" 2>"$WORK/advise.err" </dev/null ||
    failed "$step" 'Leave --advise out, or correct what the message names.' "$(reason advise)"
  while read -r name value reason; do
    variable=$(variable_of "$name")
    if [[ $EXPLICIT == *" $name "* ]]; then
      say "  --$name ${!variable}, as given; measured: $value, $reason"
    else
      printf -v "$variable" %s "$value"
      say "  --$name $value: $reason"
    fi
  done <"$WORK/advice/options"
  grep '^Expected' "$WORK/advise.out"
}
