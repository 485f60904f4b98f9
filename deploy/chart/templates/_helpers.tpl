{{/* Labels of a process of ours: (dict "root" $ "process" "desk"). */}}
{{- define "pipeline.labels" -}}
app.kubernetes.io/name: pipeline
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
pipeline-process: {{ .process }}
{{- end }}

{{- define "pipeline.selector" -}}
app.kubernetes.io/name: pipeline
app.kubernetes.io/instance: {{ .root.Release.Name }}
pipeline-process: {{ .process }}
{{- end }}

{{/* What every container of ours has: image, environment, volumes, no rights. */}}
{{- define "pipeline.container" -}}
image: {{ printf "%s:%s" .image.repository .image.tag | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
envFrom:
  - configMapRef: {name: pipeline-settings}
  - secretRef: {name: {{ .root.Values.secrets.environment }}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: home, mountPath: /var/lib/pipeline}
  - {name: keys, mountPath: /var/lib/pipeline-keys}
  - {name: workflows, mountPath: /etc/pipeline/workflows, readOnly: true}
{{- end }}

{{- define "pipeline.pod" -}}
serviceAccountName: pipeline
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
volumes:
  - {name: tmp, emptyDir: {}}
  - {name: home, emptyDir: {}}
  - {name: keys, persistentVolumeClaim: {claimName: {{ .root.Values.keys.existingClaim | default "pipeline-keys" }}}}
  - {name: workflows, configMap: {name: pipeline-workflows}}
{{- end }}

{{/* Restarts the pods where what they read has changed. */}}
{{- define "pipeline.checksums" -}}
checksum/settings: {{ .Values.settings | toJson | sha256sum }}
checksum/workflows: {{ .Values.workflows | toJson | sha256sum }}
{{- end }}

{{/* Spread over nodes, so that one that goes takes not all. */}}
{{- define "pipeline.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "pipeline.selector" . | nindent 8 }}
{{- end }}
