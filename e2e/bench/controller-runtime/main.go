// A minimal operator of controller-runtime: for each Probe it applies one status, server-side. The peer of
// the benches; it makes nothing faster or slower than controller-runtime does by itself, but that client-side
// rate limits are off and sixteen objects are reconciled at once, as in ours.
package main

import (
	"context"
	"flag"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

var groupVersion = schema.GroupVersion{Group: "bench.cloudlet.dev", Version: "v1"}

type ProbeSpec struct {
	Round int64  `json:"round"`
	Text  string `json:"text,omitempty"`
}

type ProbeStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Text               string             `json:"text,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

type Probe struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ProbeSpec   `json:"spec,omitempty"`
	Status            ProbeStatus `json:"status,omitempty"`
}

func (in *Probe) DeepCopyObject() runtime.Object {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = append([]metav1.Condition(nil), in.Status.Conditions...)
	return &out
}

type ProbeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Probe `json:"items"`
}

func (in *ProbeList) DeepCopyObject() runtime.Object {
	out := *in
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = make([]Probe, len(in.Items))
	for i := range in.Items {
		out.Items[i] = *in.Items[i].DeepCopyObject().(*Probe)
	}
	return &out
}

type reconciler struct{ client.Client }

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var probe Probe
	if err := r.Get(ctx, request.NamespacedName, &probe); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if probe.Status.ObservedGeneration == probe.Generation {
		return ctrl.Result{}, nil
	}
	status := &Probe{
		TypeMeta:   metav1.TypeMeta{APIVersion: groupVersion.String(), Kind: "Probe"},
		ObjectMeta: metav1.ObjectMeta{Name: probe.Name, Namespace: probe.Namespace},
		Status: ProbeStatus{
			ObservedGeneration: probe.Generation,
			Text:               probe.Spec.Text,
			Conditions: []metav1.Condition{{
				Type:               "Ready",
				Status:             metav1.ConditionTrue,
				ObservedGeneration: probe.Generation,
				LastTransitionTime: metav1.Now(),
				Reason:             "Ready",
				Message:            "all is well",
			}},
		},
	}
	return ctrl.Result{}, r.Status().Patch(ctx, status, client.Apply, client.FieldOwner("probe"), client.ForceOwnership)
}

func main() {
	flag.Parse() // --kubeconfig, which controller-runtime adds
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	if err := run(); err != nil {
		ctrl.Log.Error(err, "the operator ends")
		os.Exit(1)
	}
}

func run() error {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(groupVersion, &Probe{}, &ProbeList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	config := ctrl.GetConfigOrDie()
	config.QPS = -1
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).
		For(&Probe{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 16}).
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
