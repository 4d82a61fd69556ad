# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Self-supervised pre-training inside the Hugging Face ecosystem.

Importing the package registers its classes with transformers' Auto classes. It imports models only; data, training,
evaluation and conversion are imported by name when they are needed.
"""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForAudioFrameClassification,
    AutoModelForAudioXVector,
    AutoModelForCTC,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    Data2VecAudioConfig,
    Data2VecVisionConfig,
    RobertaTokenizer,
    ViTImageProcessorPil,
    Wav2Vec2FeatureExtractor,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_PRETRAINING_MAPPING

from .models.configuration_best_rq import BestRqConfig
from .models.configuration_data2vec2 import Data2Vec2AudioConfig
from .models.configuration_data2vec2_text import Data2Vec2TextConfig
from .models.configuration_data2vec2_vision import Data2Vec2VisionConfig
from .models.configuration_data2vec_aqc import Data2VecAqcConfig
from .models.configuration_data2vec_pretraining import (
    Data2VecAudioPreTrainingConfig,
    Data2VecTextPreTrainingConfig,
    Data2VecVisionPreTrainingConfig,
)
from .models.feature_extraction_best_rq import BestRqFeatureExtractor
from .models.modeling_best_rq import (
    BestRqForAudioFrameClassification,
    BestRqForCTC,
    BestRqForPreTraining,
    BestRqForSequenceClassification,
    BestRqForXVector,
    BestRqModel,
    BestRqPreTrainedModel,
)
from .models.modeling_data2vec2_audio import (
    Data2Vec2AudioForAudioFrameClassification,
    Data2Vec2AudioForCTC,
    Data2Vec2AudioForPreTraining,
    Data2Vec2AudioForSequenceClassification,
    Data2Vec2AudioForXVector,
    Data2Vec2AudioModel,
    Data2Vec2AudioPreTrainedModel,
)
from .models.modeling_data2vec2_text import (
    Data2Vec2TextForPreTraining,
    Data2Vec2TextForQuestionAnswering,
    Data2Vec2TextForSequenceClassification,
    Data2Vec2TextForTokenClassification,
    Data2Vec2TextModel,
    Data2Vec2TextPreTrainedModel,
)
from .models.modeling_data2vec2_vision import (
    Data2Vec2VisionForImageClassification,
    Data2Vec2VisionForPreTraining,
    Data2Vec2VisionModel,
    Data2Vec2VisionPreTrainedModel,
)
from .models.modeling_data2vec_aqc import (
    Data2VecAqcForAudioFrameClassification,
    Data2VecAqcForCTC,
    Data2VecAqcForPreTraining,
    Data2VecAqcForSequenceClassification,
    Data2VecAqcForXVector,
    Data2VecAqcModel,
    Data2VecAqcPreTrainedModel,
)
from .models.modeling_data2vec_audio_pretraining import Data2VecAudioForPreTraining
from .models.modeling_data2vec_text_pretraining import Data2VecTextForPreTraining
from .models.modeling_data2vec_vision_pretraining import Data2VecVisionForPreTraining

__version__ = "0.1.0.dev0"

__all__ = [
    "BestRqConfig",
    "BestRqFeatureExtractor",
    "BestRqForAudioFrameClassification",
    "BestRqForCTC",
    "BestRqForPreTraining",
    "BestRqForSequenceClassification",
    "BestRqForXVector",
    "BestRqModel",
    "BestRqPreTrainedModel",
    "Data2Vec2AudioConfig",
    "Data2Vec2AudioForAudioFrameClassification",
    "Data2Vec2AudioForCTC",
    "Data2Vec2AudioForPreTraining",
    "Data2Vec2AudioForSequenceClassification",
    "Data2Vec2AudioForXVector",
    "Data2Vec2AudioModel",
    "Data2Vec2AudioPreTrainedModel",
    "Data2Vec2TextConfig",
    "Data2Vec2TextForPreTraining",
    "Data2Vec2TextForQuestionAnswering",
    "Data2Vec2TextForSequenceClassification",
    "Data2Vec2TextForTokenClassification",
    "Data2Vec2TextModel",
    "Data2Vec2TextPreTrainedModel",
    "Data2Vec2VisionConfig",
    "Data2Vec2VisionForImageClassification",
    "Data2Vec2VisionForPreTraining",
    "Data2Vec2VisionModel",
    "Data2Vec2VisionPreTrainedModel",
    "Data2VecAqcConfig",
    "Data2VecAqcForAudioFrameClassification",
    "Data2VecAqcForCTC",
    "Data2VecAqcForPreTraining",
    "Data2VecAqcForSequenceClassification",
    "Data2VecAqcForXVector",
    "Data2VecAqcModel",
    "Data2VecAqcPreTrainedModel",
    "Data2VecAudioForPreTraining",
    "Data2VecAudioPreTrainingConfig",
    "Data2VecTextForPreTraining",
    "Data2VecTextPreTrainingConfig",
    "Data2VecVisionForPreTraining",
    "Data2VecVisionPreTrainingConfig",
]

# The Auto class that each class is saved for: its folder then carries its code (`trust_remote_code`).
Data2Vec2AudioConfig.register_for_auto_class()
Data2Vec2AudioModel.register_for_auto_class("AutoModel")
Data2Vec2AudioForPreTraining.register_for_auto_class("AutoModelForPreTraining")
Data2Vec2AudioForCTC.register_for_auto_class("AutoModelForCTC")
Data2Vec2AudioForSequenceClassification.register_for_auto_class("AutoModelForAudioClassification")
Data2Vec2AudioForAudioFrameClassification.register_for_auto_class("AutoModelForAudioFrameClassification")
Data2Vec2AudioForXVector.register_for_auto_class("AutoModelForAudioXVector")

AutoConfig.register("data2vec2-audio", Data2Vec2AudioConfig)
AutoModel.register(Data2Vec2AudioConfig, Data2Vec2AudioModel)
AutoModelForPreTraining.register(Data2Vec2AudioConfig, Data2Vec2AudioForPreTraining)
AutoModelForCTC.register(Data2Vec2AudioConfig, Data2Vec2AudioForCTC)
AutoModelForAudioClassification.register(Data2Vec2AudioConfig, Data2Vec2AudioForSequenceClassification)
AutoModelForAudioFrameClassification.register(Data2Vec2AudioConfig, Data2Vec2AudioForAudioFrameClassification)
AutoModelForAudioXVector.register(Data2Vec2AudioConfig, Data2Vec2AudioForXVector)
AutoFeatureExtractor.register(Data2Vec2AudioConfig, Wav2Vec2FeatureExtractor)

Data2Vec2VisionConfig.register_for_auto_class()
Data2Vec2VisionModel.register_for_auto_class("AutoModel")
Data2Vec2VisionForPreTraining.register_for_auto_class("AutoModelForPreTraining")
Data2Vec2VisionForImageClassification.register_for_auto_class("AutoModelForImageClassification")

AutoConfig.register("data2vec2-vision", Data2Vec2VisionConfig)
AutoModel.register(Data2Vec2VisionConfig, Data2Vec2VisionModel)
AutoModelForPreTraining.register(Data2Vec2VisionConfig, Data2Vec2VisionForPreTraining)
AutoModelForImageClassification.register(Data2Vec2VisionConfig, Data2Vec2VisionForImageClassification)
# That of PIL, which needs no torchvision; where that is installed, transformers may open a folder with its own.
AutoImageProcessor.register(Data2Vec2VisionConfig, image_processor_classes={"pil": ViTImageProcessorPil})

BestRqConfig.register_for_auto_class()
BestRqFeatureExtractor.register_for_auto_class()
BestRqModel.register_for_auto_class("AutoModel")
BestRqForPreTraining.register_for_auto_class("AutoModelForPreTraining")
BestRqForCTC.register_for_auto_class("AutoModelForCTC")
BestRqForSequenceClassification.register_for_auto_class("AutoModelForAudioClassification")
BestRqForAudioFrameClassification.register_for_auto_class("AutoModelForAudioFrameClassification")
BestRqForXVector.register_for_auto_class("AutoModelForAudioXVector")

AutoConfig.register("best-rq", BestRqConfig)
AutoModel.register(BestRqConfig, BestRqModel)
AutoModelForPreTraining.register(BestRqConfig, BestRqForPreTraining)
AutoModelForCTC.register(BestRqConfig, BestRqForCTC)
AutoModelForAudioClassification.register(BestRqConfig, BestRqForSequenceClassification)
AutoModelForAudioFrameClassification.register(BestRqConfig, BestRqForAudioFrameClassification)
AutoModelForAudioXVector.register(BestRqConfig, BestRqForXVector)
AutoFeatureExtractor.register(BestRqConfig, BestRqFeatureExtractor)

Data2Vec2TextConfig.register_for_auto_class()
Data2Vec2TextModel.register_for_auto_class("AutoModel")
Data2Vec2TextForPreTraining.register_for_auto_class("AutoModelForPreTraining")
Data2Vec2TextForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
Data2Vec2TextForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
Data2Vec2TextForQuestionAnswering.register_for_auto_class("AutoModelForQuestionAnswering")

AutoConfig.register("data2vec2-text", Data2Vec2TextConfig)
AutoModel.register(Data2Vec2TextConfig, Data2Vec2TextModel)
AutoModelForPreTraining.register(Data2Vec2TextConfig, Data2Vec2TextForPreTraining)
AutoModelForSequenceClassification.register(Data2Vec2TextConfig, Data2Vec2TextForSequenceClassification)
AutoModelForTokenClassification.register(Data2Vec2TextConfig, Data2Vec2TextForTokenClassification)
AutoModelForQuestionAnswering.register(Data2Vec2TextConfig, Data2Vec2TextForQuestionAnswering)
AutoTokenizer.register(Data2Vec2TextConfig, tokenizer_class=RobertaTokenizer)

# The encoders of data2vec are transformers' own, and so is every Auto class but this one; for text that one too. The
# mapping is written to directly for our configurations, because a class can be registered for one configuration only.
Data2VecAudioForPreTraining.register_for_auto_class("AutoModelForPreTraining")
Data2VecTextForPreTraining.register_for_auto_class("AutoModelForPreTraining")
Data2VecVisionForPreTraining.register_for_auto_class("AutoModelForPreTraining")
AutoModelForPreTraining.register(Data2VecAudioConfig, Data2VecAudioForPreTraining, exist_ok=True)
AutoModelForPreTraining.register(Data2VecVisionConfig, Data2VecVisionForPreTraining, exist_ok=True)
MODEL_FOR_PRETRAINING_MAPPING.register(Data2VecAudioPreTrainingConfig, Data2VecAudioForPreTraining)  # type: ignore[arg-type]
MODEL_FOR_PRETRAINING_MAPPING.register(Data2VecTextPreTrainingConfig, Data2VecTextForPreTraining)  # type: ignore[arg-type]
MODEL_FOR_PRETRAINING_MAPPING.register(Data2VecVisionPreTrainingConfig, Data2VecVisionForPreTraining)  # type: ignore[arg-type]

Data2VecAqcConfig.register_for_auto_class()
Data2VecAqcModel.register_for_auto_class("AutoModel")
Data2VecAqcForPreTraining.register_for_auto_class("AutoModelForPreTraining")
Data2VecAqcForCTC.register_for_auto_class("AutoModelForCTC")
Data2VecAqcForSequenceClassification.register_for_auto_class("AutoModelForAudioClassification")
Data2VecAqcForAudioFrameClassification.register_for_auto_class("AutoModelForAudioFrameClassification")
Data2VecAqcForXVector.register_for_auto_class("AutoModelForAudioXVector")

AutoConfig.register("data2vec-aqc", Data2VecAqcConfig)
AutoModel.register(Data2VecAqcConfig, Data2VecAqcModel)
AutoModelForPreTraining.register(Data2VecAqcConfig, Data2VecAqcForPreTraining)
AutoModelForCTC.register(Data2VecAqcConfig, Data2VecAqcForCTC)
AutoModelForAudioClassification.register(Data2VecAqcConfig, Data2VecAqcForSequenceClassification)
AutoModelForAudioFrameClassification.register(Data2VecAqcConfig, Data2VecAqcForAudioFrameClassification)
AutoModelForAudioXVector.register(Data2VecAqcConfig, Data2VecAqcForXVector)
AutoFeatureExtractor.register(Data2VecAqcConfig, Wav2Vec2FeatureExtractor)
