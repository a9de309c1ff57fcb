"""Changes of endpoints as plans: the one door to the modules that make them."""

from core.delete_plans import clean_up, plan_delete, undone_step
from core.deploy_plans import Upload, plan_deploy, plan_update, spec_of
from core.scale_plans import VariantChange, plan_autoscale, plan_scale, plan_stop_autoscale

__all__ = [
    "Upload",
    "VariantChange",
    "clean_up",
    "plan_autoscale",
    "plan_delete",
    "plan_deploy",
    "plan_scale",
    "plan_stop_autoscale",
    "plan_update",
    "spec_of",
    "undone_step",
]
