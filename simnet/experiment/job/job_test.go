package job_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/simnet/experiment/job"
)

var good = job.Job{Name: "access-delay", File: "access-delay.yaml", Dir: "out", Shards: 12, Image: "example.net/ursa:1", Claim: "ursa-experiment"}

// TestManifestRunsEveryShardOnce: the manifest is a Job of batch/v1 whose indices 0 to n-1 become the shards.
func TestManifestRunsEveryShardOnce(t *testing.T) {
	text, err := good.Kubernetes()
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Spec       struct {
			CompletionMode       string `yaml:"completionMode"`
			Completions          int
			Parallelism          int
			BackoffLimitPerIndex int `yaml:"backoffLimitPerIndex"`
			Template             struct {
				Spec struct {
					RestartPolicy string `yaml:"restartPolicy"`
					Containers    []struct {
						Image        string
						Command      []string
						Env          []struct{ Name string }
						VolumeMounts []struct {
							Name, MountPath string `yaml:",omitempty"`
						} `yaml:"volumeMounts"`
					}
					Volumes []struct {
						Name string
						PVC  struct {
							ClaimName string `yaml:"claimName"`
						} `yaml:"persistentVolumeClaim"`
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	spec := m.Spec.Template.Spec
	if m.APIVersion != "batch/v1" || m.Kind != "Job" || m.Metadata.Name != "ursa-access-delay" || m.Spec.CompletionMode != "Indexed" ||
		m.Spec.Completions != good.Shards || m.Spec.Parallelism != good.Shards || m.Spec.BackoffLimitPerIndex < 1 || spec.RestartPolicy != "Never" {
		t.Errorf("%+v", m)
	}
	if len(spec.Containers) != 1 || len(spec.Volumes) != 1 || spec.Volumes[0].PVC.ClaimName != good.Claim || spec.Volumes[0].Name != spec.Containers[0].VolumeMounts[0].Name {
		t.Fatalf("%+v", spec)
	}
	c := spec.Containers[0]
	want := []string{"ursa", "sim", "sweep", "/experiment/access-delay.yaml", "--out", "/experiment/out", "--index", "$(JOB_COMPLETION_INDEX)", "--shards", strconv.Itoa(good.Shards)}
	if !slices.Equal(c.Command, want) || c.Image != good.Image || len(c.Env) != 1 || c.Env[0].Name != "JOB_COMPLETION_INDEX" {
		t.Errorf("%q", c.Command)
	}
}

// TestArrayRunsEveryShardOnce: a Slurm array of n tasks counts from 0 to n-1.
func TestArrayRunsEveryShardOnce(t *testing.T) {
	line, err := good.Slurm()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sbatch ", " --array=0-11 ", `--index "$SLURM_ARRAY_TASK_ID"`, "--shards 12", "sim sweep access-delay.yaml --out out"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is missing in %s", want, line)
		}
	}
	if strings.Count(line, "\n") != 1 || strings.Count(line, "'") != 2 {
		t.Errorf("not one line: %q", line)
	}
}

// TestNothingIsSmuggledIn: no name or path adds a word to a shell or a line to a manifest.
func TestNothingIsSmuggledIn(t *testing.T) {
	for name, change := range map[string]func(*job.Job){
		"a quote":      func(j *job.Job) { j.File = "x'; rm -rf y" },
		"a line":       func(j *job.Job) { j.Dir = "out\nhostNetwork: true" },
		"an option":    func(j *job.Job) { j.File = "--help" },
		"no file":      func(j *job.Job) { j.File = "" },
		"a name":       func(j *job.Job) { j.Name = "A b" },
		"a long name":  func(j *job.Job) { j.Name = strings.Repeat("a", 60) },
		"an expansion": func(j *job.Job) { j.Dir = "$HOME" },
	} {
		j := good
		change(&j)
		if _, err := j.Slurm(); !errors.Is(err, job.ErrWord) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := j.Kubernetes(); name != "an option" && !errors.Is(err, job.ErrWord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int{0, -1, job.MaxShards + 1} {
		j := good
		j.Shards = n
		if _, err := j.Slurm(); !errors.Is(err, job.ErrShards) {
			t.Errorf("%d shards: %v", n, err)
		}
	}
	for _, image := range []string{"", "a b", "x\ny"} {
		j := good
		j.Image = image
		if _, err := j.Kubernetes(); !errors.Is(err, job.ErrWord) {
			t.Errorf("image %q: %v", image, err)
		}
	}
}
