// Package job writes what puts the shards of an experiment on many machines: an indexed Job for Kubernetes, or one line for a Slurm
// array. Whoever schedules machines for a living does it better than a scheduler of ours would.
//
// What it promises: shard i of n runs exactly once for each index, and may be killed and started again at will: its journal stands in a
// folder that outlives it. Afterwards one report over all the folders gives the bytes of an unsharded run.
//
// What an attacker may do: nothing here is for strangers. Names and paths are checked, so that none can add a line to a manifest or a
// word to a shell.
package job

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"text/template"
)

// Errors of a Job.
var (
	ErrShards = errors.New("impossible number of shards")
	ErrWord   = errors.New("unusable in a manifest")
)

// MaxShards is as many as a Slurm array usually may have.
const MaxShards = 1000

// Job is an experiment divided into shards.
type Job struct {
	Name   string // of the experiment: letters, digits and dashes
	File   string // the experiment's file, as the machines see it
	Dir    string // where journals go, shared or collected afterwards
	Shards int
	Image  string // Kubernetes: the container image with the program
	Claim  string // Kubernetes: the volume claim that is mounted where file and journals are
}

var (
	pathWord  = regexp.MustCompile(`^[A-Za-z0-9._/@:-]{1,300}$`)
	labelWord = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$`)
)

func (j Job) check() error {
	if j.Shards < 1 || j.Shards > MaxShards {
		return fmt.Errorf("%w: %d, want 1 to %d", ErrShards, j.Shards, MaxShards)
	}
	if !labelWord.MatchString(j.Name) {
		return fmt.Errorf("%w: the name %q; use small letters, digits and dashes", ErrWord, j.Name)
	}
	for _, p := range []string{j.File, j.Dir} {
		if !pathWord.MatchString(p) || p[0] == '-' {
			return fmt.Errorf("%w: the path %q; use letters, digits and ._/@:-", ErrWord, p)
		}
	}
	return nil
}

var manifest = template.Must(template.New("job").Parse(`# {{.Shards}} shards of {{.Name}}. When the Job is complete:
#   ursa sim report {{.Dir}}
apiVersion: batch/v1
kind: Job
metadata:
  name: ursa-{{.Name}}
  labels: {app.kubernetes.io/name: ursa-sim, app.kubernetes.io/instance: {{.Name}}}
spec:
  completionMode: Indexed
  completions: {{.Shards}}
  parallelism: {{.Shards}}
  backoffLimitPerIndex: 3
  maxFailedIndexes: {{.Shards}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: ursa-sim, app.kubernetes.io/instance: {{.Name}}}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shard
          image: {{.Image}}
          command: [ursa, sim, sweep, {{.File}}, --out, {{.Dir}}, --index, $(JOB_COMPLETION_INDEX), --shards, "{{.Shards}}"]
          env:
            - name: JOB_COMPLETION_INDEX
              valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
          resources: {requests: {cpu: "2", memory: 1Gi}, limits: {memory: 2Gi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: work, mountPath: {{.Mount}}}]
      volumes: [{name: work, persistentVolumeClaim: {claimName: {{.Claim}}}}]
`))

// mount is where the volume appears; file and journals are below it.
const mount = "/experiment"

// Kubernetes returns the manifest of an indexed Job (batch/v1, Kubernetes 1.29 and later), ready to apply. Paths that are not absolute
// are below the mounted volume.
func (j Job) Kubernetes() ([]byte, error) {
	if j.File != "" && j.File[0] != '/' {
		j.File = mount + "/" + j.File
	}
	if j.Dir != "" && j.Dir[0] != '/' {
		j.Dir = mount + "/" + j.Dir
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	if !pathWord.MatchString(j.Image) || !labelWord.MatchString(j.Claim) {
		return nil, fmt.Errorf("%w: the image %q or the claim %q", ErrWord, j.Image, j.Claim)
	}
	var b bytes.Buffer
	err := manifest.Execute(&b, struct {
		Job
		Mount string
	}{j, mount})
	return b.Bytes(), err
}

// Slurm returns one command line that submits an array of all shards.
func (j Job) Slurm() (string, error) {
	if err := j.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf("sbatch --job-name=ursa-%s --array=0-%d --requeue --cpus-per-task=2 --mem=2G "+
		"--wrap 'ursa sim sweep %s --out %s --index \"$SLURM_ARRAY_TASK_ID\" --shards %d --workers \"$SLURM_CPUS_PER_TASK\"'\n",
		j.Name, j.Shards-1, j.File, j.Dir, j.Shards), nil
}
