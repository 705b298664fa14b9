package main

import (
	_ "embed" // the templates
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

//go:embed templates/beacon.service
var beaconUnitTemplate string

//go:embed templates/beacon.Containerfile
var beaconContainerTemplate string

// deployment is what the templates leave open.
type deployment struct {
	Binary, Dir, Directory, Passphrase, Listen, Metrics, Attest string
}

// TPM says whether the beacon attests on a TPM, and so needs its device and the firmware's log.
func (d *deployment) TPM() bool {
	words := strings.Fields(d.Attest)
	i := slices.Index(words, "--attest")
	return i >= 0 && i+1 < len(words) && strings.HasSuffix(words[i+1], string(attest.TPM))
}

func (d *deployment) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.Dir, "dir", "/var/lib/ursa-beacon", "the beacon's `DIR` on the host")
	f.StringVar(&d.Directory, "directory", "/etc/ursa/directory.ursa", "`FILE` of the signed directory on the host")
	f.StringVar(&d.Listen, "listen", ":4433", "UDP `ADDRESS` to answer on")
	f.StringVar(&d.Metrics, "metrics", beaconMetrics, "TCP `ADDRESS` for metrics")
	f.StringVar(&d.Attest, "attest", "--attest-result /var/lib/ursa-beacon/result", "`FLAGS` that say where the attestation result comes from")
}

// render fills a template; a value with a line break would be another line of the file.
func (d *deployment) render(out io.Writer, text string) error {
	for _, v := range []string{d.Binary, d.Dir, d.Directory, d.Passphrase, d.Listen, d.Metrics, d.Attest} {
		if strings.ContainsAny(v, "\n\r\"\\") {
			return usagef("%q: use a value without line breaks, quotes and backslashes", v)
		}
	}
	t, err := template.New("deployment").Parse(text)
	if err != nil {
		return err
	}
	return t.Execute(out, d)
}

func beaconUnitCommand() *cobra.Command {
	var d deployment
	cmd := &cobra.Command{
		Use:   "unit",
		Short: "Print a hardened systemd unit for a beacon",
		Long: "Prints a systemd unit for 'beacon serve': a user of its own, nothing writable, no capabilities, few system calls, the passphrase\n" +
			"as a credential. 'systemctl reload' sends SIGHUP.",
		Example: "  ursa beacon unit --listen 192.0.2.7:4433 > /etc/systemd/system/ursa-beacon.service\n" +
			"  ursa beacon unit --attest '--attest tpm --service appraiser.example.net:4434 --appraiser /etc/ursa/appraiser.json'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.render(cmd.OutOrStdout(), beaconUnitTemplate)
		},
	}
	d.register(cmd)
	cmd.Flags().StringVar(&d.Binary, "binary", "/usr/local/bin/ursa", "`PATH` of this program on the host")
	cmd.Flags().StringVar(&d.Passphrase, "passphrase-file", "/etc/ursa/beacon.pass", "`FILE` with the passphrase on the host, readable by root alone")
	return cmd
}

func beaconContainerCommand() *cobra.Command {
	var d deployment
	cmd := &cobra.Command{
		Use:   "container",
		Short: "Print a Containerfile for a beacon",
		Long: "Prints a Containerfile that builds this program and serves a beacon from mounted files, without a shell and without root.\n" +
			"Run it in the host's network: a user-space network in between adds microseconds to every radius.",
		Example: "  ursa beacon container > Containerfile\n  podman build -t ursa-beacon -f Containerfile .",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.render(cmd.OutOrStdout(), beaconContainerTemplate)
		},
	}
	d.register(cmd)
	return cmd
}
