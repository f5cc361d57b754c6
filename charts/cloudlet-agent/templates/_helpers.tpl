{{/* Labels of every object of the chart. */}}
{{- define "agent.labels" -}}
app.kubernetes.io/name: cloudlet-agent
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "agent.selector" -}}
app.kubernetes.io/name: cloudlet-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agent.name" -}}
{{ ternary .Release.Name (printf "%s-cloudlet-agent" .Release.Name) (contains "cloudlet-agent" .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "agent.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}
