{{/*
What another chart, with this one as a dependency, puts into its pods:

  spec:
    serviceAccountName: {{ include "secretless.account" .Subcharts.secretless }}
    automountServiceAccountToken: false
    initContainers:
      {{- include "secretless.sidecar" .Subcharts.secretless | nindent 6 }}
    volumes:
      {{- include "secretless.volumes" .Subcharts.secretless | nindent 6 }}
*/}}

{{- define "secretless.account" -}}
{{ .Values.serviceAccount.name }}
{{- end }}

{{/* A native sidecar: ready before the other containers start, and the last to stop. */}}
{{- define "secretless.sidecar" -}}
- name: secretless
  restartPolicy: Always
  {{- include "secretless.body" . | nindent 2 }}
{{- end }}

{{- define "secretless.body" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - serve
  {{- if eq .Values.source "crd" }}
  - --config-mgr=k8s/crd#{{ .Values.name }}
  {{- else if eq .Values.source "file" }}
  - --config=/etc/secretless/secretless.yml
  - --watch
  {{- else }}
  {{- fail (printf "source must be crd or file, not %s" .Values.source) }}
  {{- end }}
  - --health={{ .Values.health }}
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  exec:
    command: [/usr/bin/secretless, health, "--address={{ .Values.health }}"]
  periodSeconds: 1
  timeoutSeconds: 6
  failureThreshold: 300
readinessProbe:
  exec:
    command: [/usr/bin/secretless, health, "--address={{ .Values.health }}"]
  periodSeconds: 10
  timeoutSeconds: 6
livenessProbe:
  exec:
    command: [/usr/bin/secretless, health, "--address={{ .Values.health }}", --live]
  periodSeconds: 10
  timeoutSeconds: 6
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  {{- if or (eq .Values.source "crd") .Values.secrets }}
  - name: secretless-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- end }}
  {{- if eq .Values.source "file" }}
  - name: secretless-config
    mountPath: /etc/secretless
    readOnly: true
  {{- end }}
  - name: secretless-state
    mountPath: /var/lib/secretless
  - name: secretless-sockets
    mountPath: /run/secretless
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "secretless.volumes" -}}
{{- if or (eq .Values.source "crd") .Values.secrets }}
# The account's token, for the broker's container alone.
- name: secretless-token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}
{{- if eq .Values.source "file" }}
- name: secretless-config
  configMap:
    name: {{ .Values.name }}
{{- end }}
- name: secretless-state
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
- name: secretless-sockets
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
