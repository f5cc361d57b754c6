// Argo CD's own programs in one binary, as Argo CD ships them, but without those that the test bed does not
// start; and what Argo CD and Flux make of an object: the health by a Lua script in Argo CD's interpreter,
// and kstatus.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	sets "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/argoproj/argo-cd/v3/util/log"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/klog/v2"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	klog.SetLogger(log.NewLogrusLogger(log.NewWithCurrentConfig()))
	root := &cobra.Command{Use: "argocd-bed", SilenceUsage: true}
	root.AddCommand(
		controller.NewCommand(),
		reposerver.NewCommand(),
		sets.NewCommand(),
		&cobra.Command{
			Use:   "judge",
			Short: "Reads [{script, object}] and writes [{health, healthMessage, kstatus}], both JSON",
			RunE:  func(*cobra.Command, []string) error { return judge() },
		},
	)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

type answer struct {
	Health        string `json:"health"`
	HealthMessage string `json:"healthMessage"`
	Kstatus       string `json:"kstatus"`
}

func judge() error {
	var raw []struct {
		Script string          `json:"script"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&raw); err != nil {
		return fmt.Errorf("the questions cannot be read: %w", err)
	}
	answers := make([]answer, 0, len(raw))
	for _, each := range raw {
		object := &unstructured.Unstructured{}
		// Reads whole numbers as int64, as an informer does.
		if err := object.UnmarshalJSON(each.Object); err != nil {
			return fmt.Errorf("an object cannot be read: %w", err)
		}
		// Without the open libraries, as Argo CD runs scripts of its configuration.
		health, err := lua.VM{}.ExecuteHealthLua(object, each.Script)
		if err != nil {
			return fmt.Errorf("health of %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		result, err := status.Compute(object)
		if err != nil {
			return fmt.Errorf("kstatus of %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		answers = append(answers, answer{string(health.Status), health.Message, string(result.Status)})
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}
